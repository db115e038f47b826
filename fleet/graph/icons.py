"""An icon for each role, and for what stands around the fleet: strokes in a square of 24."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.kinds import Role

PEOPLE, CLOUD, CHIP, WORLD, NET, HOSTS = "people", "cloud", "chip", "world", "net", "hosts"

ICONS: Mapping[str, str] = {
    # A hub with three spokes.
    Role.ORCHESTRATOR.value: '<circle cx="12" cy="12" r="3.6"/><circle cx="12" cy="3.6" r="1.9"/>'
    '<circle cx="4.6" cy="18" r="1.9"/><circle cx="19.4" cy="18" r="1.9"/>'
    '<path d="M12 5.5V8.4M6.2 16.9L9.1 14.4M17.8 16.9L14.9 14.4"/>',
    # A laptop that is shut, with its light.
    Role.HEADLESS_MAC.value: '<rect x="2.5" y="9.5" width="19" height="3.4" rx="1.4"/>'
    '<path d="M2.5 15.6H21.5"/><path d="M6 11.2H6.1"/>',
    # A laptop that is open.
    Role.WORKSTATION_MAC.value: '<rect x="4.5" y="4.5" width="15" height="10.6" rx="1.6"/>'
    '<path d="M2 18.8H22L20.4 15.8H3.6Z"/>',
    # A board with a chip and its pins.
    Role.PI.value: '<rect x="3" y="5" width="18" height="14" rx="2"/>'
    '<rect x="8.5" y="9" width="7" height="6" rx="1"/>'
    '<path d="M6 5V3M9 5V3M12 5V3M15 5V3M18 5V3M5.6 16.4H5.7M18.3 16.4H18.4"/>',
    # A window on a stand.
    Role.WINDOWS_WSL.value: '<rect x="3" y="4" width="18" height="12.5" rx="1.6"/>'
    '<path d="M12 4V16.5M3 10.2H21M8.5 20H15.5M12 16.5V20"/>',
    PEOPLE: '<circle cx="9" cy="8" r="3.4"/><path d="M2.8 19.5C3 15.6 5.4 13.6 9 13.6S15 15.6 15.2 '
    '19.5"/><circle cx="17" cy="9" r="2.6"/><path d="M17.4 14C19.9 14.2 21.1 15.9 21.3 18.6"/>',
    CLOUD: '<path d="M7 18.5H17.4A4 4 0 0 0 18 10.6A6 6 0 0 0 6.6 10.2A4.2 4.2 0 0 0 7 18.5Z"/>',
    CHIP: '<rect x="6.5" y="6.5" width="11" height="11" rx="1.5"/><path d="M10 6.5V3M14 6.5V3M10 21'
    'V17.5M14 21V17.5M6.5 10H3M6.5 14H3M21 10H17.5M21 14H17.5"/>',
    WORLD: '<circle cx="12" cy="12" r="9"/>'
    '<path d="M3 12H21M12 3C8 7 8 17 12 21C16 17 16 7 12 3"/>',
    NET: '<rect x="5" y="10.5" width="14" height="10" rx="2"/><path d="M8 10.5V7.5A4 4 0 0 1 16 7.5'
    'V10.5M12 14.5V16.5"/>',
    HOSTS: '<rect x="3.5" y="4" width="17" height="6.5" rx="1.5"/>'
    '<rect x="3.5" y="13.5" width="17" height="6.5" rx="1.5"/>'
    '<path d="M7 7.2H7.1M7 16.7H7.1M11 7.2H17M11 16.7H17"/>',
}
