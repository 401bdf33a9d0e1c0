import pytest
import torch
import yaml

from dvdgan.config import Config
from dvdgan.config.files import ConfigError, field_paths, load_config, override, parse_config, preset_names
from dvdgan.mirroring import with_opposites
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator

# Parameters of G, D_S and D_T as each preset builds them. BigGAN's at 128 px are the known ones (Brock et al. 2018).
EXPECTED = {
    "biggan-128": (70_433_988, 87_982_370, None),
    "biggan-256": (82_235_844, 99_225_890, None),
    "k600-64x64x12": (479_146_563, 44_886_049, 12_556_129),
    "k600-64x64x48": (479_146_563, 44_886_049, 12_556_129),
    "k600-128x128x12": (482_380_227, 89_717_281, 46_052_449),
    "k600-128x128x48": (482_380_227, 89_717_281, 46_052_449),
    "k600-256x256x12": (538_125_507, 100_926_241, 90_883_681),
    "k600-256x256x48": (538_125_507, 100_926_241, 90_883_681),
    "ucf101-128x128x16": (482_320_347, 88_950_817, 45_285_985),
    "cpu-32": (1_547_107, 386_609, 359_633),
    "cpu-32-quick": (624_515, 281_009, 274_513),
    "cpu-64": (3_133_459, 780_209, 421_073),
    "emoji-32": (1_422_547, 386_609, 359_633),
    "phenomena-32": (1_703_843, 281_009, 274_513),
    "phenomena-64": (2_132_265, 285_921, 288_641),
    "k600-64x64x16-fp": (206_473_539, 11_455_249, 3_257_521),
    "bair-64x64x16-fp": (153_934_851, 10_994_449, 3_027_121),
    "cpu-32-fp": (2_065_321, 304_689, 339_153),
    "cpu-64-fp": (4_398_251, 616_369, 339_153),
    "phenomena-64-fp": (2_375_691, 285_921, 288_641),
}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_every_preset_is_expected():
    assert set(preset_names()) == set(EXPECTED)


@pytest.mark.parametrize("name", preset_names())
def test_preset_builds_with_expected_sizes(name):
    config = load_config(name)
    assert config.name == name
    assert config.description
    network = config.network
    with torch.device("meta"):
        built = [Generator(network), SpatialDiscriminator(network)]
        temporal = TemporalDiscriminator(network) if network.temporal else None
        labels = torch.zeros(2, dtype=torch.long) if network.classes else None
        first = torch.zeros(2, network.first_frames, 3, network.size, network.size) if network.first_frames else None
        clip = built[0](torch.zeros(2, network.generator.z_dim), labels, first=first)
        assert clip.shape == (2, network.made_frames, 3, network.size, network.size)
    assert (count(built[0]), count(built[1]), count(temporal) if temporal else None) == EXPECTED[name]


@pytest.mark.parametrize("name", [n for n in preset_names() if n.startswith(("k600", "ucf", "bair"))])
def test_published_settings(name):
    """What the paper states (sections 3 and 4) stands in the presets."""
    config = load_config(name)
    n, t = config.network, config.training
    assert (n.generator.z_dim, n.generator.embed_dim, n.generator.recurrent_at) == (120, 120, "all")
    assert (n.generator.blocks_per_stage, n.generator.spectral_norm, n.generator.time_code) == (2, True, 0)
    assert (n.spatial.frames, n.temporal.pool, n.temporal.blocks_3d) == (8, 2, 2)
    assert not n.temporal.frame_differences
    assert (t.batch_size, t.d_steps, t.lr_g, t.lr_d, t.loss) == (512, 2, 1e-4, 5e-4, "hinge")
    assert (t.ema.decay, t.ema.start) == (0.9999, 20_000)
    assert n.size in (64, 128, 256)


def test_yaml_round_trip(tmp_path):
    config = load_config("cpu-32", ["training.batch_size=9", "network.temporal=null", "training.lr_g=1e-3"])
    path = tmp_path / "mine.yaml"
    path.write_text(config.to_yaml())
    assert load_config(str(path)) == config
    assert config.training.batch_size == 9
    assert config.network.temporal is None


def test_override_brings_a_discriminator_back():
    config = load_config("biggan-128", ["network.frames=4", "network.temporal.width=8"])
    assert config.network.temporal.width == 8


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.batchsize=3"], r"did you mean training\.batch_size"),
        (["batch_size=3"], r"did you mean training\.batch_size"),
        (["training.batch_size"], "field=value"),
        (["training.batch_size=many"], r"training\.batch_size: .*many"),
        (["training.batch_size=0"], r"training\.batch_size: .*greater than or equal to 1"),
        (["network.size=48"], "size .*48"),
        (["network.spatial.frames=13"], r"set network\.spatial\.frames=12 or less"),
        (["network.frames=1", "network.spatial.frames=1"], r"set network\.temporal=null"),
        (["network.temporal=null", "network.spatial=null"], "network: "),
        (["network.generator.multipliers=[4,4]"], "multipliers"),
        (["network.generator.recurrent_at=[32]"], "recurrent_at"),
        (["network.generator.time_code=3"], "time_code"),
        (["network.generator.hierarchical_z=true", "network.generator.z_dim=63"], "z_dim"),
        (["network.spatial.multipliers=[1,2]"], "spatial.*multipliers"),
        (["network.generator.attention=spatial", "network.generator.attention_at=32"], "attention_at"),
        (
            [
                "network.generator.attention=full",
                "network.generator.attention_at=8",
                "network.generator.recurrent_at=[16]",
            ],
            "attention_at",
        ),
        (
            [
                "network.generator.attention=full",
                "network.generator.attention_at=8",
                "network.generator.width=6",
                "network.generator.multipliers=[2,2,2]",
            ],
            "multiple of 8",
        ),
        (["network.spatial.attention_at=16", "network.spatial.width=3"], "multiple of 8"),
        (["network.generator.recurrent_at=[]"], "recurren"),
        (["training.lr_g=[1"], r"training\.lr_g"),
        (["network.spatial=3", "network.spatial.frames=2"], r"network\.spatial\.frames"),
        (["training.loss=relativistic"], r"set training\.regularisation\.r1"),
        (["training.lr_decay=linear", "training.decay_start=20000"], r"decay_start \(20000\)"),
        (["data.flip_labels={a: b}"], r"data: flip_labels .*set data\.flip=true, or data\.flip_labels=\{\}"),
        (["data.flip=true", "data.flip_labels={a: b, b: c}"], "b: a, or null"),
        (["data.flip=true", "data.flip_labels={a: b, c: b}"], "b: c, or null"),
        (["data.flip=true", "data.flip_labels={a: b, b: b}"], "b: a, or null"),
        *[
            (
                ["data.flip=true", f"data.flip_labels={{{pair}}}"],
                r"data\.flip_labels",
            )
            for pair in ("a: 3", "yes: no", "on: off", "01: 02", "3.10: a", "null: a", "~: a")
        ],
        (["data.shards=4", "data.pack=false"], r"data\.shards=null"),
        (["data.shuffle_buffer=9", "data.sampling=by_class"], r"set data\.sampling=by_clip, or .*shuffle_buffer=null"),
        (["data.flip_label={a: b}"], r"did you mean data\.flip_labels"),
    ],
)
def test_bad_fields_are_named_with_the_mend(overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config("cpu-32", overrides)


def test_a_colour_on_the_command_line_is_no_comment():
    assert load_config("cpu-32", ["data.background=#00ff00"]).data.background == "#00ff00"


def test_flip_labels_come_from_the_command_line_and_go_to_yaml(tmp_path):
    config = load_config("cpu-32", ["data.flip=true", "data.flip_labels={pan-left: pan-right, pen: null, '7': '8'}"])
    assert config.data.flip_labels == {"pan-left": "pan-right", "pen": None, "7": "8"}
    (tmp_path / "mine.yaml").write_text(config.to_yaml())
    assert load_config(str(tmp_path / "mine.yaml")) == config
    assert override(config, ["data.flip_labels={}", "data.flip=false"]).data.flip_labels == {}
    assert "null" in field_paths()["data.flip_labels"]


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ({}, {}),
        ({"a": "b"}, {"a": "b", "b": "a"}),
        ({"a": "b", "b": "a", "c": "c"}, {"a": "b", "b": "a", "c": "c"}),
        ({"a": "b", "b": None}, {"a": "b", "b": None}),
        ({"a": "b", "c": "b", "b": None}, {"a": "b", "c": "b", "b": None}),
        ({"b": None, "a": None}, {"a": None, "b": None}),
    ],
)
def test_a_map_of_mirrored_classes_says_both_ways(given, whole):
    assert with_opposites(given) == whole


def test_unknown_preset_suggests_near_ones():
    with pytest.raises(ConfigError, match="cpu-32"):
        load_config("cpu32")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network: [", "YAML"),
        ("- a", "list"),
        ("networks: {}", "networks"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(str(path))
    assert "broken.yaml" in str(caught.value)
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        load_config(str(tmp_path / "missing.yaml"))


def test_every_field_has_a_help_text():
    assert [path for path, text in field_paths().items() if not text.strip()] == []


def test_defaults_are_valid_and_frozen():
    config = parse_config({})
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match="frozen"):
        config.training.batch_size = 3
    assert parse_config(yaml.safe_load(config.to_yaml())) == config


@pytest.mark.parametrize(
    "text",
    [
        *(
            "data.fps=.inf",
            "data.target_fps=1e6",
            "data.stride=1000000",
            "data.workers=100000",
            "data.max_seconds=.nan",
        ),
        *("training.batch_size=1000000000000", "training.lr_g=.inf", "network.generator.width=100000000"),
        *("data.clips_per_class=100000000000", "training.seed=100000000000000000000000", "network.frames=100000"),
        *("network.generator.multipliers=[4,100000,2]", "training.steps=10000000000000"),
    ],
)
def test_numbers_beyond_what_they_can_mean_are_refused_by_their_field(text):
    with pytest.raises(ConfigError) as refused:
        load_config("cpu-32", [text])
    assert text.split("=")[0].split(".")[-1] in str(refused.value)
    assert "\n" not in str(refused.value)
