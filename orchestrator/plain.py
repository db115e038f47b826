"""For what is asked without TLS: on a socket of this host, and inside the tailnet."""

import ssl

# It trusts nobody. httpx would read all authorities of the machine, which takes a Pi a second, for
# a connection that has no use for one.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
