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

    def load_state_dict(self, tensors, *args, **options):
        return self.model.load_state_dict(tensors, *args, **options)


def resnet(depths, sizes, kind):
    import transformers
    config = transformers.ResNetConfig(depths=depths, hidden_sizes=sizes, layer_type=kind, num_labels=1000)
    return Scores(transformers.ResNetForImageClassification(config))


def resnet18():
    return resnet([2, 2, 2, 2], [64, 128, 256, 512], 'basic')


def resnet50():
    return resnet([3, 4, 6, 3], [256, 512, 1024, 2048], 'bottleneck')


def mobilenet_v1():
    import transformers
    return Scores(transformers.MobileNetV1ForImageClassification(transformers.MobileNetV1Config(num_labels=1001)))


def mobilenet_v2():
    import transformers
    return Scores(transformers.MobileNetV2ForImageClassification(transformers.MobileNetV2Config(num_labels=1001)))


def efficientnet_b0():
    """`depthwise_padding`: the blocks whose input is of odd size, of which B0 has none at 224 pixels."""
    import transformers
    config = transformers.EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, image_size=224, hidden_dim=1280,
                                             depthwise_padding=[], num_labels=1000)
    return Scores(transformers.EfficientNetForImageClassification(config))


def regnet(kind, depths, sizes, group):
    import transformers
    config = transformers.RegNetConfig(embedding_size=32, hidden_sizes=sizes, depths=depths, groups_width=group,
                                       layer_type=kind, num_labels=1000)
    return Scores(transformers.RegNetForImageClassification(config))


def regnet_x():
    return regnet('x', [1, 2, 7, 12], [32, 64, 160, 400], 16)


def regnet_y():
    return regnet('y', [1, 3, 6, 6], [48, 104, 208, 440], 8)


def convnext_tiny():
    import transformers
    return Scores(transformers.ConvNextForImageClassification(transformers.ConvNextConfig(num_labels=1000)))


# ---- vision transformers ---------------------------------------------------------------------------------------------

class Vector(Scores):
    """`model` gives an object that has the output under `key`."""
    def __init__(self, model, key):
        super().__init__(model)
        self.key = key

    def forward(self, x):
        return getattr(self.model(x), self.key)


def vit_tiny():
    import transformers
    return Scores(transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=192, num_attention_heads=3, intermediate_size=768, num_labels=1000, image_size=64)))


def dinov2_small():
    import transformers
    return Vector(transformers.Dinov2Model(transformers.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=56)), 'pooler_output')


def clip_vit_b32():
    import transformers
    return Vector(transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(image_size=64)), 'image_embeds')


def clip_vit_b32_by_timm():
    """The same network with timm's names, which are ours; its own head has a bias, which CLIP's projection has not."""
    import timm
    net = timm.create_model('vit_base_patch32_clip_quickgelu_224', img_size=64, num_classes=512)
    net.head = torch.nn.Linear(768, 512, bias=False)
    return net


def swin_tiny():
    import transformers
    return Scores(transformers.SwinForImageClassification(transformers.SwinConfig(num_labels=1000)))
