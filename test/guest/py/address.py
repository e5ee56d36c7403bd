"""Connections whose address goes and comes back, and raw sockets beside them: address.py INTERFACE ADDRESS/PREFIX HOST PORT.

The other side is a server that gives lines back, and takes some seconds for "slowly".
"""
import fcntl, socket, struct, subprocess, sys, time

interface, address, host, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
v6 = ":" in address


def ip(verb):
    subprocess.run(["ip", "addr", verb, address, "dev", interface] + (["nodad"] if v6 and verb == "add" else []), check=True)


def ask(s, line):
    s.sendall(line + b"\n")
    return s.recv(100)


def seen(raw, line):
    """Whether the raw socket saw a segment with the line."""
    raw.settimeout(5)
    try:
        while True:
            if line in raw.recv(2000):
                return True
    except TimeoutError:
        return False


s = socket.create_connection((host, port))
for line in b"one", b"two", b"three":
    print(ask(s, line))

with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
    print("raw", ask(s, b"with a raw socket"), seen(raw, b"with a raw socket"))
print(ask(s, b"without"))

s.sendall(b"slowly\n")
ip("del")
s.settimeout(6)
try:
    print("without an address", s.recv(100))
except TimeoutError:
    print("nothing comes without an address")
ip("add")
s.settimeout(30)
print("again", s.recv(100))
print(ask(s, b"end"))
