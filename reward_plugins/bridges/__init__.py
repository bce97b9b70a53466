"""The same verdict in other trainers: one small file each, named in the trainer's own configuration."""
