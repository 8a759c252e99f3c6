"""Configuration: the only reader of the environment and of `kasparro.yaml`."""

from kasparro.config.declarations import CONFIG_FILE, Config, declare_sources, load_config
from kasparro.config.environment import Settings, check_serving, load_settings, read_environment
from kasparro.config.hashing import config_hash, whole_hash

__all__ = [
    "CONFIG_FILE",
    "Config",
    "Settings",
    "check_serving",
    "config_hash",
    "declare_sources",
    "load_config",
    "load_settings",
    "read_environment",
    "whole_hash",
]
