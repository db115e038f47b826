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
    wrong = tuple(s for s in settings if look.value(s.name) not in _sound(s))
    waiting = tuple(
        f"{s.name}: {s.complaint}" for s in settings if s.later and look.value(s.name) == s.later
    )
    if not wrong:
        return Change((), "", pending=waiting) if waiting else None
    says = tuple(f"{s.name}: {look.value(s.name) or '(none)'} → {s.want}" for s in wrong)
    return Change(says, "\n".join(_write(setting) for setting in wrong), pending=waiting)


def _sound(setting: Setting) -> tuple[str, ...]:
    """The values with which a run has nothing more to do."""
    return (setting.want, setting.later) if setting.later else (setting.want,)


def _write(setting: Setting) -> str:
    complaint = quote(setting.complaint or f"{setting.name} did not become {setting.want}")
    sound = " | ".join(quote(value) for value in _sound(setting))
    return f'{setting.write}\ncase "$({setting.read})" in {sound}) ;; *) fail {complaint} ;; esac'
