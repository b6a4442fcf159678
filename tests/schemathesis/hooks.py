"""What a schema cannot say."""

import time

import schemathesis

DAY = 24 * 60 * 60 * 1000


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict):
        return
    # `expires` lies in the future: a moment that is over becomes one that is to come.
    at = body.get("expires")
    soon = int(time.time() * 1000) + DAY
    if isinstance(at, (int, float)) and not isinstance(at, bool) and at == at // 1 and 0 <= at < soon:
        body["expires"] = soon + int(at) % DAY
    # A room that was renamed is found under its new name, and would be taken for lost under the old one.
    name = body.get("name")
    if case.method == "PATCH" and isinstance(name, str) and len(name) <= 64 and name.isprintable() and name.strip():
        body["name"] = case.path_parameters["name"]
