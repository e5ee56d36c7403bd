"""Answers lines "LEVEL OPTION VALUE SIZE" of a connection by setting an option of it, unless LEVEL is -1, and sending SIZE times "x";
"sniff" by whether a packet socket sees what is sent. Run as: headers.py PORT"""
import socket
import sys
import threading


def sniff(c):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as p:
        p.settimeout(5)
        c.sendall(b"look")
        try:
            while not p.recv(2048).endswith(b"look"):
                pass
        except TimeoutError:
            return b"n"
        return b"y"


def serve(c):
    for line in c.makefile():
        words = line.split()
        if words[0] == "sniff":
            c.sendall(sniff(c))
            continue
        level, option, value, size = map(int, words)
        if level >= 0:
            c.setsockopt(level, option, value)
        c.sendall(b"x" * size)


def listen(family, address):
    s = socket.create_server((address, int(sys.argv[1])), family=family)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()


threading.Thread(target=listen, args=(socket.AF_INET6, "::"), daemon=True).start()
listen(socket.AF_INET, "0.0.0.0")
