#!/usr/bin/env python3
"""Writes tests/layers/LAYER.yaml: cases for tests/layers/driver.c with the values that PyTorch gives in double.

    python3 make_layer_references.py [LAYER...]

Each layers_FAMILY.py beside this file lists its makers in LAYERS, functions named like the layer (a trailing underscore
where Python has the word: min_). What they share is in layer_cases.py.
"""
import glob
import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

if __name__ == "__main__":
    for path in sorted(glob.glob(os.path.join(HERE, "layers_*.py"))):
        for make in importlib.import_module(os.path.basename(path)[:-3]).LAYERS:
            if len(sys.argv) == 1 or make.__name__.rstrip("_") in sys.argv[1:]:
                make()
