#!/usr/bin/env python3
"""compare_export.py CAMBIUM LAYERS_ONNX SOURCE [layers|backbones|roundtrip|runs]...: what Cambium exports, run by ONNX Runtime.

layers     each case of tests/layers as a network of one layer: its values are PyTorch's, in double precision
backbones  networks of configs/backbones with random weights: the same as `cambium extract` gives
roundtrip  the same networks, and those of tests/nets, imported again: the same outputs
runs       tiny tasks are trained and exported: the probabilities are those of `cambium predict`, within 1e-4, on real
           pictures prepared here by what the file's own metadata says; --uint8, --layout nhwc, --no-fold, --int8,
           --external-data. Needs Pillow and datasets/photos

Every file passes onnx.checker with full_check. Exits with 77 (skipped) where onnx or onnxruntime is not installed.
"""
import glob
import json
import math
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
    import yaml
except ImportError as missing:
    print(f"skipped: no ONNX Runtime for Python\n{missing}")
    sys.exit(77)

MASK = (1 << 64) - 1
CAMBIUM, LAYERS_ONNX, SOURCE = sys.argv[1:4]
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAILED", text)


def cambium(*arguments, cwd):
    done = subprocess.run([CAMBIUM, *arguments], cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"cambium {' '.join(arguments)}: {done.stderr}{done.stdout}")
    return done.stdout


def session(path):
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def splitmix64(x):
    x = (x + numpy.uint64(0x9E3779B97F4A7C15)) & numpy.uint64(MASK)
    x = ((x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)) & numpy.uint64(MASK)
    x = ((x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)) & numpy.uint64(MASK)
    return x ^ (x >> numpy.uint64(31))


def array(spec):
    """A tensor of tests/layers: generated as tests/reference/layer_cases.py says, or written out."""
    shape = spec["shape"]
    if "values" in spec:
        kind = numpy.int64 if spec.get("dtype") == "i32" else numpy.float32
        return numpy.array(spec["values"], dtype=numpy.float64).astype(kind).reshape(shape)
    count = math.prod(shape)
    with numpy.errstate(over="ignore"):
        u = (splitmix64(numpy.uint64(spec["seed"] << 32) + numpy.arange(count, dtype=numpy.uint64)) >> numpy.uint64(40))
    v = spec.get("scale", 1.0) * (2.0 * u.astype(numpy.float64) * 2.0**-24 - 1.0)
    step = spec.get("step", 0.0)
    v = numpy.floor(v / step) * step if step > 0 else v
    return (v + spec.get("offset", 0.0)).astype(numpy.float32).reshape(shape)


def distance(got, wanted):
    """As a part of the largest finite magnitude; infinite where one is not finite and the other is."""
    finite = numpy.isfinite(wanted)
    if not numpy.array_equal(finite, numpy.isfinite(got)) or not numpy.array_equal(
            numpy.nan_to_num(got[~finite]), numpy.nan_to_num(wanted[~finite])):
        return math.inf
    if not finite.any():
        return 0.0
    return float(numpy.abs(got[finite] - wanted[finite]).max() / max(numpy.abs(wanted[finite]).max(), 1e-30))


# ---- layers

# What ONNX Runtime refuses or computes otherwise by design.
ELSEWHERE = {
    ("embedding", "no such row"): "a row that is not there is an error",
    ("gather", "rows that are not there"): "a row that is not there is an error",
    ("pow", "edges, exponent -0.5"): "of -0.0 it is infinity of either sign",
    ("l2_normalize", "large and small"): "ReduceL2 squares in single precision: beyond 1e19 it overflows",
}


def check_case(path, case, output):
    run = session(path)
    names = [i.name for i in run.get_inputs()]
    specs = case["inputs"]
    feed = {"input" if len(specs) == 1 else f"x{i}": array(spec) for i, spec in enumerate(specs)}
    if "lengths" in names:
        feed["lengths"] = numpy.array(case["lengths"], dtype=numpy.int64)
    got = run.run(None, {name: feed[name] for name in names})[0]
    wanted = array(case["expect"]["y"][output]).astype(numpy.float64)
    if list(got.shape) != list(wanted.shape):
        return f"shape {list(got.shape)}, not {list(wanted.shape)}"
    x = feed.get("input")
    if x is not None and x.shape == wanted.shape and x.dtype == numpy.float32:
        wanted = numpy.where(numpy.isfinite(x), wanted, 0.0)  # of infinity, runtimes think differently
        got = numpy.where(numpy.isfinite(x), got, 0.0)
    error = distance(got.astype(numpy.float64), wanted)
    tolerance = max(float(case.get("tolerance", 1e-5)), 2e-6) * 10
    return None if error <= tolerance else f"differs by {error:.2g}"


def layers(folder):
    files = sorted(glob.glob(os.path.join(SOURCE, "tests/layers/*.yaml")))
    out = subprocess.run([LAYERS_ONNX, folder, *files], capture_output=True, text=True)
    if out.returncode != 0:
        raise RuntimeError(out.stderr)
    cases, checked, refused = {}, 0, {}
    for line in out.stdout.splitlines():
        layer, number, rest = line.split(" ", 2)
        if rest.startswith("refused"):
            refused[layer] = rest
            continue
        if layer not in cases:
            with open(os.path.join(SOURCE, f"tests/layers/{layer}.yaml"), encoding="utf-8") as file:
                cases[layer] = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["cases"]
        case = cases[layer][int(number)]
        if "expect" not in case or "y" not in case["expect"] or (layer, case["name"]) in ELSEWHERE:
            continue
        try:
            wrong = check_case(os.path.join(folder, f"{layer}-{number}-{rest}.onnx"), case, int(rest))
        except Exception as error:  # pylint: disable=broad-except  # whatever the checker or the runtime finds
            wrong = str(error)[:400]
        checked += 1
        if wrong is not None:
            fail(f"{layer}, {case['name']}: {wrong}")
    for layer, why in refused.items():
        print(f"{layer} {why}")
    print(f"layers: {checked} cases of {len(cases)} layers")


# ---- whole networks


def check_backbone(name, folder):
    path = os.path.join(folder, f"{name}.onnx")
    cambium("export", name, path, "--weights", "none", cwd=folder)
    run = session(path)
    n, c, h, w = run.get_inputs()[0].shape
    assert n == "N", n
    x = numpy.random.default_rng(1).standard_normal((2, c, h, w)).astype(numpy.float32)
    write_safetensors(os.path.join(folder, "x.safetensors"), {"x": x.transpose(0, 2, 3, 1)})
    cambium("extract", name, "x.safetensors", "-o", "y.safetensors", "--weights", "none", cwd=folder)
    ours = next(iter(read_safetensors(os.path.join(folder, "y.safetensors")).values()))
    error = distance(run.run(None, {"input": x})[0].astype(numpy.float64), ours.astype(numpy.float64))
    print(f"{name}: {error:.1e}")
    if not error <= 1e-4:
        fail(f"{name} differs by {error:.2g}")


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, value in tensors.items():
        blob = numpy.ascontiguousarray(value, dtype=numpy.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {name: numpy.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], dtype=numpy.float32).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def backbones(folder):
    with open(os.path.join(SOURCE, "tests/exchange/backbones.txt"), encoding="utf-8") as file:
        names = file.read().split()
    for name in names:
        try:
            check_backbone(name, folder)
        except Exception as error:  # pylint: disable=broad-except
            fail(f"{name}: {str(error)[:400]}")


def check_roundtrip(network, folder):
    name = os.path.basename(network).removesuffix(".yaml")
    path = os.path.join(folder, f"{name}.onnx")
    cambium("export", network, path, "--weights", "none", cwd=folder)
    inputs = onnx.load(path).graph.input
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        return
    shape = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim][1:]
    shape = shape[1:] + shape[:1] if len(shape) == 3 else shape
    x = numpy.random.default_rng(1).standard_normal([2] + shape).astype(numpy.float32)
    write_safetensors(os.path.join(folder, "x.safetensors"), {"x": x})
    cambium("import", path, "-o", os.path.join(folder, "again"), "--name", "again", "--force", cwd=folder)
    cambium("extract", network, "x.safetensors", "-o", "a.safetensors", "--weights", "none", cwd=folder)
    cambium("extract", "again/again.yaml", "x.safetensors", "-o", "b.safetensors", cwd=folder)
    a, b = (next(iter(read_safetensors(os.path.join(folder, f)).values())) for f in ("a.safetensors", "b.safetensors"))
    error = distance(b.astype(numpy.float64), a.astype(numpy.float64)) if a.shape == b.shape else math.inf
    with open(os.path.join(folder, "again/again.yaml"), encoding="utf-8") as file:
        text = file.read()
    print(f"{name}: {error:.1e}, {len(text.splitlines())} lines")
    if not error <= 1e-4:
        fail(f"{name}, exported and imported: differs by {error:.2g}")


def roundtrip(folder):
    with open(os.path.join(SOURCE, "tests/exchange/backbones.txt"), encoding="utf-8") as file:
        names = file.read().split()
    for name in names + sorted(glob.glob(os.path.join(SOURCE, "tests/nets/*.yaml"))):
        try:
            check_roundtrip(name, folder)
        except Exception as error:  # pylint: disable=broad-except
            fail(f"{name}: {str(error)[:400]}")


# ---- runs


def prepared(path, p):
    """A picture as the metadata's `preprocessing` says, uint8 [H,W,C]."""
    from PIL import Image, ImageOps  # pylint: disable=import-outside-toplevel
    filters = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "nearest": Image.NEAREST}
    image, (high, wide) = Image.open(path).convert("RGBA"), p["size"]
    background = tuple(p["background"])
    solid = Image.new("RGB", image.size, background)
    solid.paste(image, mask=image.getchannel("A"))
    solid = solid.convert("L") if p["channels"] == "grey" else solid
    assert p["resize"] == "pad", p
    square = ImageOps.pad(solid, (wide, high), filters[p["filter"]], background if solid.mode == "RGB" else background[0])
    return numpy.asarray(square, dtype=numpy.uint8).reshape(high, wide, -1)


def answers(path, pictures):
    """[pictures, classes] of the file, and its labels."""
    run = session(path)
    meta = run.get_modelmeta().custom_metadata_map
    p = json.loads(meta["preprocessing"])
    x = numpy.stack([prepared(picture, p) for picture in pictures])
    if p["dtype"] == "float32":
        x = ((x - numpy.array(p["mean"])) / numpy.array(p["std"])).astype(numpy.float32)
        x = x.transpose(0, 3, 1, 2) if p["layout"] == "NCHW" else x
    logits, probabilities = run.run(["logits", "probabilities"], {"input": x})
    e = numpy.exp(logits - logits.max(1, keepdims=True))
    if numpy.abs(e / e.sum(1, keepdims=True) - probabilities).max() > 1e-5:
        fail(f"{path}: logits and probabilities disagree")
    return probabilities, json.loads(meta["labels"]), meta


def predictions(name, folder, pictures):
    return [json.loads(line)["probabilities"] for line in
            cambium("predict", name, *pictures, "--json", cwd=folder).splitlines()]


def rounded_run(name, path, folder):
    """A copy of the run whose weights are those that the int8 file should hold, rounded here."""
    with open(os.path.join(folder, "runs", name, "model.safetensors"), "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text, data = file.read(length), bytearray(file.read())
    header = json.loads(text)
    names = [t.name for t in onnx.load(path).graph.initializer]
    for layer in (n[:-len(".weight_int8")] for n in names if n.endswith(".weight_int8")):
        tensor = header[layer + ".w"]
        begin, end = tensor["data_offsets"]
        w = numpy.frombuffer(bytes(data[begin:end]), dtype=numpy.float32).reshape(-1, tensor["shape"][-1])
        scale = numpy.abs(w).max(0) / numpy.float32(127)
        scale[scale == 0] = 1
        data[begin:end] = (numpy.rint(w / scale).astype(numpy.float32) * scale).astype(numpy.float32).tobytes()
    os.makedirs(os.path.join(folder, "runs", name + "_rounded"))
    with open(os.path.join(folder, "runs", name + "_rounded", "model.safetensors"), "wb") as file:
        file.write(length.to_bytes(8, "little") + text + data)
    return name + "_rounded"


def difference(probabilities, labels, wanted):
    return max(abs(float(row[i]) - wish[label]) for row, wish in zip(probabilities, wanted)
               for i, label in enumerate(labels))


def check_run(name, folder, pictures):
    wanted = predictions(name, folder, pictures)
    for flags in ([], ["--uint8"], ["--layout", "nhwc"], ["--no-fold"], ["--external-data"], ["--int8"]):
        path = os.path.join(folder, f"{name}{''.join(flags)}.onnx")
        told = json.loads(cambium("export", name, path, "--json", *flags, cwd=folder).splitlines()[-1])
        probabilities, labels, meta = answers(path, pictures)
        off = difference(probabilities, labels, wanted)
        print(f"{name} {' '.join(flags)}: {off:.1e}, {told['bytes']} bytes, {told.get('int8', '')}")
        if flags == ["--int8"]:
            same = difference(probabilities, labels, predictions(rounded_run(name, path, folder), folder, pictures))
            print(f"{name} --int8: {same:.1e} from the same weights in Cambium")
            if json.loads(meta["int8"]) != told["int8"] or same > 1e-4:
                fail(f"{name} --int8: {same}, {told}")
        elif off > 1e-4:
            fail(f"{name} {' '.join(flags)}: a probability differs by {off:.2g}")
        for other in glob.glob(path + "*"):
            os.remove(other)


def runs(folder):
    photos = os.path.join(SOURCE, "datasets/photos")
    pictures = sorted(glob.glob(os.path.join(photos, "*/*.png")))[::29]
    if not pictures:
        print("runs: datasets/photos is not there")
        return
    data = f"data: {{images: '{photos}', train: {{per_class: 4}}, test: {{per_class: 3}}}}\n"
    tasks = {"small": "model: {backbone: small_cnn, weights: none, frozen: none}\n" + data + "train: {epochs: 2}\n"}
    tasks["photos"] = "model: {backbone: efficientnet_lite0}\n" + data
    for name, text in tasks.items():
        with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        try:
            cambium("train", name + ".yaml", "--quiet", cwd=folder)
        except RuntimeError as error:
            print(f"runs: {name} cannot be trained here: {error}")
            continue
        check_run(name, folder, pictures)


def main():
    parts = {"layers": layers, "backbones": backbones, "roundtrip": roundtrip, "runs": runs}
    with tempfile.TemporaryDirectory() as folder:
        for part in sys.argv[4:] or parts:
            parts[part](folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
