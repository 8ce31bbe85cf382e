#!/usr/bin/env python3
"""validate.py SCHEMA.json: reads `NAME<tab>JSON` a line, prints `NAME<tab>ok` or `NAME<tab>PLACE: MESSAGE`, where PLACE is
where the deepest fault lies, as keys and numbers: `model/head/0`."""
import json
import sys

from jsonschema import Draft7Validator


def deepest(error):
    """Of what none of several forms takes: the fault in the form that fits furthest."""
    inner = [deepest(e) for e in error.context]
    return max([error, *inner], key=lambda e: len(e.absolute_path))


with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
for line in sys.stdin:
    name, text = line.rstrip("\n").split("\t", 1)
    errors = [deepest(error) for error in validator.iter_errors(json.loads(text))]
    error = max(errors, key=lambda e: len(e.absolute_path), default=None)
    place = "/".join(str(part) for part in error.absolute_path) if error else ""
    print(name, "ok" if error is None else f"{place}: {error.message[:160]}", sep="\t")
