"""What a schema cannot say."""

import re
import time

import schemathesis

DAY = 24 * 60 * 60 * 1000
UNPRINTABLE = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@schemathesis.serializer("application/offset+octet-stream")
def as_bytes(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict):
        return
    # `expires` lies in the future: a moment that is over becomes one that is to come.
    at = body.get("expires")
    soon = int(time.time() * 1000) + DAY
    if isinstance(at, (int, float)) and not isinstance(at, bool) and 0 <= at < soon and at == at // 1:
        body["expires"] = soon + int(at) % DAY
    # A room that was renamed is found under its new name, and would be taken for lost under the old one. Names that are
    # none stay as they are, to be refused.
    name = body.get("name")
    if case.method == "PATCH" and isinstance(name, str):
        if len(name) <= 64 and name.strip() and not UNPRINTABLE.search(name):
            del body["name"]
