"""Knowledge distillation: teachers answer once, students learn from the cached answers."""
