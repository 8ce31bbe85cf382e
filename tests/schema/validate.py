#!/usr/bin/env python3
"""validate.py SCHEMA.json: reads `NAME<tab>JSON` a line, prints `NAME<tab>ok` or `NAME<tab>PLACE: MESSAGE`."""
import json
import sys

from jsonschema import Draft7Validator

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
for line in sys.stdin:
    name, text = line.rstrip("\n").split("\t", 1)
    error = next(validator.iter_errors(json.loads(text)), None)
    place = "/".join(str(part) for part in error.absolute_path) if error else ""
    print(name, "ok" if error is None else f"{place}: {error.message[:160]}", sep="\t")
