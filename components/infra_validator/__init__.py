"""TFX's InfraValidator, which gives Docker a path that Docker's daemon can follow."""
