"""The ``satsqueeze`` command: one subcommand per stage."""
