"""Values that no file holds, such as the host's name: read in the look, written when different."""

from __future__ import annotations

from pyinfra.api import operation

from facts.look import Look
from fleet.resources import Setting
from operations.change import Change, Commands, Order, carry_out
from operations.shell import quote


@operation()
def ensure(order: Order) -> Commands:
    """Write the settings whose value differs, and read each back."""
    yield from carry_out("settings", order, lambda want, _, look: plan(want.settings, look))


def plan(settings: tuple[Setting, ...], look: Look) -> Change | None:
    """The settings whose value is not the wanted one."""
    wrong = tuple(s for s in settings if look.value(s.name) != s.want)
    if not wrong:
        return None
    says = tuple(f"{s.name}: {look.value(s.name) or '(none)'} → {s.want}" for s in wrong)
    return Change(says, "\n".join(_write(setting) for setting in wrong))


def _write(setting: Setting) -> str:
    complaint = quote(setting.complaint or f"{setting.name} did not become {setting.want}")
    return f'{setting.write}\n[ "$({setting.read})" = {quote(setting.want)} ] || fail {complaint}'
