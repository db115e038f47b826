"""For what is asked without TLS: on a socket of this host, and inside the tailnet."""

import ssl

# It trusts nobody. httpx would read all authorities of the machine, 50 ms of a desktop's processor,
# for a connection that has no use for one.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
