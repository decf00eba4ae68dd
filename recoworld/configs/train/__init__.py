"""The trainings that ship with the package: one YAML file each, settings of `recoworld.configs.training.TrainConfig`."""
