"""Networks of Hugging Face's transformers with random weights, as functions without arguments that give a module whose
output is scores; state_dict() has the names of the files that people download."""
import torch


class Scores(torch.nn.Module):
    """`model` gives an object with `logits`; the names of its params stay."""
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).logits

    def state_dict(self, *args, **options):
        return self.model.state_dict(*args, **options)


def resnet(depths, sizes, kind):
    import transformers
    config = transformers.ResNetConfig(depths=depths, hidden_sizes=sizes, layer_type=kind, num_labels=1000)
    return Scores(transformers.ResNetForImageClassification(config))


def resnet18():
    return resnet([2, 2, 2, 2], [64, 128, 256, 512], 'basic')


def resnet50():
    return resnet([3, 4, 6, 3], [256, 512, 1024, 2048], 'bottleneck')
