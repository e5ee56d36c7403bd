# Flask on its own threaded server: answers a body with its SHA-256.
import hashlib
import sys

# This folder would hide the module, which has the name of this file.
sys.path.pop(0)

from flask import Flask, request

app = Flask("sums")


@app.get("/")
def up():
    return "up\n"


@app.post("/")
def sum_of_body():
    return hashlib.sha256(request.get_data()).hexdigest()


app.run("0.0.0.0", int(sys.argv[1]), threaded=True)
