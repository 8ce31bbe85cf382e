"""PyTorch eager, channels-last, two threads: the peer of the figures in results/. Needs torch and timm."""
import time

import timm
import torch

torch.set_num_threads(2)
x = torch.randn(16, 3, 224, 224).to(memory_format=torch.channels_last)
model = timm.create_model("tf_efficientnet_lite0").eval().to(memory_format=torch.channels_last)
with torch.no_grad():
    for _ in range(2):
        model(x)
    start = time.time()
    for _ in range(5):
        model(x)
    print("efficientnet_lite0, inference, images/s:", 80 / (time.time() - start))
model = timm.create_model("resnet18").train().to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
labels = torch.randint(0, 1000, (16,))


def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x), labels).backward()
    optimizer.step()


step()
start = time.time()
for _ in range(4):
    step()
print("resnet18, training step, images/s:", 64 / (time.time() - start))
