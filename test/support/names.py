"""What the DNS server of a test (dns_server.py) says about a name, in short."""

NXDOMAIN = {"rcode": "NXDOMAIN"}
NO_DATA = {}
SERVFAIL = {"rcode": "SERVFAIL"}
SILENT = {"silent": True}


def address(*literals, **more):
    """A record with these IPv4 and IPv6 addresses; `more`: ttl, delay, ... of dns_server.py."""
    return {"A": [one for one in literals if ":" not in one], "AAAA": [one for one in literals if ":" in one], **more}
