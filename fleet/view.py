"""One host as a deploy module sees it: the host, the fleet around it, and what its role means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fleet import powershell
from fleet.lock import ArtifactsLock
from fleet.model import Fleet, Host
from fleet.resources import ROOT_GROUP, File
from fleet.settings import Settings, settings_for

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
MANAGED = "Managed by agentfleet (templates/{template}). The next run undoes changes made here."


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - renders units and configs; nothing here is HTML
    )
    environment.filters["quoted"] = powershell.quoted
    environment.filters["array"] = powershell.array
    return environment


def text_of(template: str, **values: object) -> str:
    """The text of templates/<template> with these values; another name in it is an error."""
    return _environment().get_template(template).render(**values)


@dataclass(frozen=True, eq=False)
class HostView:
    """The single argument of a deploy module's `resources`."""

    fleet: Fleet
    host: Host
    artifacts: ArtifactsLock

    def of(self, host: Host) -> HostView:
        """Another host of the same fleet; the same view each time: nothing is found out twice."""
        return self if host == self.host else _another(self, host)

    @property
    def settings(self) -> Settings:
        """What this host's role means."""
        return settings_for(self.host.role.value)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The capabilities this host gets: those of its role without the ones it declines."""
        return tuple(c for c in self.settings.capabilities if c not in self.host.without)

    def render(self, template: str, **values: object) -> bytes:
        """The bytes of templates/<template> for this host; `managed` is the header line."""
        header = MANAGED.format(template=template)
        known = {"host": self.host, "fleet": self.fleet, "role": self.settings, "managed": header}
        return text_of(template, **known, **values).encode()

    def file(
        self,
        path: str,
        template: str,
        *,
        mode: str = "0644",
        owner: str = "root",
        group: str = ROOT_GROUP,
        check: str = "",
        stays: bool = False,
        values: Mapping[str, object] | None = None,
    ) -> File:
        """A file resource rendered from templates/<template>."""
        content = self.render(template, **(values or {}))
        return File(
            path,
            content,
            template,
            mode=mode,
            owner=owner,
            group=group,
            check=check,
            stays=stays,
        )

    def script(self, name: str, template: str) -> File:
        """A program of ours in the libexec directory, checked by the host's own shell."""
        path = f"{self.settings.libexec_dir}/{name}"
        return self.file(path, template, mode="0755", check="sh -n {path}")


@cache
def _another(view: HostView, host: Host) -> HostView:
    return HostView(view.fleet, host, view.artifacts)
