"""Training: what a stage trains, its data order, its losses, the loop over stages, resume.

`vlmkit.training.stages.train` runs all stages of an experiment; `vlmkit.training.training_plan.plan_training` says
beforehand what each of them trains. `vlmkit.training.metrics` reads the records of a run without torch.
"""
