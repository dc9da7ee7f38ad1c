"""Networks in torch: the parametric U-Net, the students, baselines, and what they cost."""
