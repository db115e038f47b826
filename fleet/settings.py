"""What a role means, typed: the values of group_data/, checked when they are read."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleet.problems import FleetError, Problem
from fleet.roles import role_data


class Settings(BaseModel):
    """The merged group_data of one role. Paths are absolute, ports are TCP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capabilities: tuple[str, ...]
    reserved_cores: int

    state_dir: str
    log_dir: str
    libexec_dir: str
    config_dir: str
    programs_dir: str
    holds_secrets: tuple[str, ...]
    homes_dir: str  # where login users have their home directories
    build_user: str

    base_packages: tuple[str, ...]
    time_servers: tuple[str, ...]
    journal_max: str
    sets_hostname: bool
    sees_network_card: bool
    never_sleeps: bool
    oldest_macos: Annotated[int, Field(gt=10)]
    in_windows: bool
    windows_programs: tuple[tuple[str, str, str], ...]

    tailnet_tag: Annotated[str, Field(pattern=r"^(tag:[a-z][a-z0-9-]*)?$")]
    tailscale_runs: bool
    tailscale_programs: tuple[str, ...]
    tailscale_key_days: Annotated[int, Field(gt=0)]

    agent_port: int
    agent_user: str
    agent_home: str
    agent_sudo: str
    agent_shell: str
    agent_memory_max: Annotated[str, Field(pattern=r"^([0-9]+[%KMG]?)?$")]
    gateway_port: int
    gateway_user: str
    gateway_warn_percent: Annotated[int, Field(gt=0, lt=100)]
    quarantine_port: int
    quarantine_user: str
    orchestrator_port: int
    orchestrator_user: str
    orchestrator_home: str
    plan_cap: Annotated[float, Field(gt=0)]
    control_user: str

    health_minutes: Annotated[int, Field(gt=0, lt=60)]
    monitor_user: str
    monitor_home: str
    health_user: str

    claude_settings: str

    artifacts_port: int

    icecc_user: str
    icecc_port: int
    scheduler_port: int
    icecc_nice: int
    icecc_env_dir: str
    environments_dir: str
    compilers_dir: str
    icecc_serves_remote: bool
    icecc_why_not_remote: str
    icecc_path: tuple[str, ...]


@cache
def settings_for(role: str) -> Settings:
    """The settings of a role.

    Raises FleetError naming group_data when a value is missing, unknown or of the wrong type.
    """
    values = {key: value for key, value in role_data(role).items() if not key.startswith("_")}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise FleetError(
            [
                Problem(
                    file=f"group_data/{role}.py",
                    line=0,
                    key=".".join(str(part) for part in found["loc"]),
                    fault=found["msg"],
                    fix="compare with fleet/settings.py, which lists every value and its type",
                )
                for found in error.errors()
            ]
        ) from None
