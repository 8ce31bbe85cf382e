#!/usr/bin/env python3
"""Writes tests/data/sounds: small sound files of each kind that is read, and what other programs make of them.

    python3 make_sound_files.py

The files are written by Python's wave module, SciPy and soundfile (FLAC, OGG, MP3); expected.txt names what is read of each,
expected.bin holds the samples as floats: decoded by soundfile, mixed by NumPy, resampled by soxr (HQ), trimmed by librosa;
loudness by pyloudnorm. See tests/unit/test_sound.c.
"""
import os
import wave

import librosa
import numpy as np
import pyloudnorm
import scipy.io.wavfile
import soundfile
import soxr

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "sounds")
rng = np.random.default_rng(7)


def tone(rate, seconds, hz=440.0, level=0.5):
    t = np.arange(int(rate * seconds)) / rate
    return level * np.sin(2 * np.pi * hz * t) * np.hanning(len(t)) + 0.01 * rng.standard_normal(len(t))


def write_wave(name, channels, rate, width=2):
    data = np.clip(np.stack(channels, 1), -1, 1 - 2.0 ** -15)
    with wave.open(os.path.join(OUT, name), "wb") as f:
        f.setnchannels(len(channels))
        f.setsampwidth(width)
        f.setframerate(rate)
        f.writeframes(((data * 128 + 128).astype("u1") if width == 1 else (data * 32768).astype("<i2")).tobytes())


def write_files():
    write_wave("mono8k.wav", [tone(8000, 0.3)], 8000)
    write_wave("stereo44k.wav", [tone(44100, 0.08, 300), tone(44100, 0.08, 900, 0.25)], 44100)
    write_wave("bytes11k.wav", [tone(11025, 0.1)], 11025, 1)
    write_wave("one_sample.wav", [np.array([0.25])], 16000)
    write_wave("silence.wav", [np.zeros(3200)], 16000)
    quiet = np.zeros(8000)
    quiet[3000:5200] = tone(16000, 2200 / 16000)
    write_wave("edges.wav", [quiet + 1e-4 * rng.standard_normal(8000)], 16000)
    path = lambda name: os.path.join(OUT, name)
    scipy.io.wavfile.write(path("float48k.wav"), 48000, np.stack([1.5 * tone(48000, 0.05, 700)] * 3, 1).astype("<f4"))
    bad = tone(16000, 0.02).astype("<f4")
    bad[100] = np.nan
    scipy.io.wavfile.write(path("nan.wav"), 16000, bad)
    soundfile.write(path("mono16k.flac"), tone(16000, 0.2), 16000, subtype="PCM_16")
    soundfile.write(path("stereo22k.flac"), np.stack([tone(22050, 0.1), tone(22050, 0.1, 800)], 1), 22050, subtype="PCM_24")
    soundfile.write(path("mono16k.ogg"), tone(16000, 0.3), 16000, format="OGG", subtype="VORBIS")
    soundfile.write(path("mono16k.mp3"), tone(16000, 0.3), 16000, format="MP3")


def decoded(name):
    data, rate = soundfile.read(os.path.join(OUT, name), dtype="float32", always_2d=True)
    return data.astype(np.float64).mean(1).astype(np.float32), rate


lines, parts = [], []


def expect(name, rate=0, most=0, middle=False, trim=0):
    """What is read of a file at `rate` (0: its own), at most `most` samples (0: all), from the beginning or the middle."""
    x, own = decoded(name)
    if rate and rate != own:
        x = soxr.resample(x, own, rate, quality="HQ")
    if trim:
        x = librosa.effects.trim(x, top_db=trim)[0]
    start = (len(x) - most) // 2 if middle and 0 < most < len(x) else 0
    x = x[start:start + most if most else None]
    lines.append(f"{name} {rate} {most} {int(middle)} {trim} {rate or own} {len(x)}")
    parts.append(x.astype("<f4").tobytes())


def loudness(rate, seconds, level, hz):
    x = tone(rate, seconds, hz, level)
    name = f"loud{rate // 1000}k.flac"
    soundfile.write(os.path.join(OUT, name), x, rate, subtype="PCM_16")
    x, _ = decoded(name)
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    return f"{name} {meter.integrated_loudness(x.astype(np.float64)):.6f}"


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    write_files()
    for name in ("mono8k.wav", "stereo44k.wav", "bytes11k.wav", "one_sample.wav", "silence.wav", "float48k.wav",
                 "mono16k.flac", "stereo22k.flac", "mono16k.ogg", "mono16k.mp3"):
        expect(name)
        if name != "one_sample.wav":
            expect(name, 16000)
    expect("mono8k.wav", 16000, 1000)
    expect("mono8k.wav", 16000, 1001, True)
    expect("stereo44k.wav", 16000, 500, True)
    expect("mono16k.flac", 0, 100, True)
    expect("stereo22k.flac", 16000, 10000, True)
    expect("mono16k.ogg", 0, 333, True)
    expect("edges.wav", trim=30)
    expect("silence.wav", trim=30)
    louds = [loudness(16000, 1.3, 0.5, 500), loudness(48000, 0.5, 0.1, 2500)]
    with open(os.path.join(OUT, "expected.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")
    with open(os.path.join(OUT, "loudness.txt"), "w") as f:
        f.write("\n".join(louds) + "\n")
    with open(os.path.join(OUT, "expected.bin"), "wb") as f:
        f.write(b"".join(parts))
