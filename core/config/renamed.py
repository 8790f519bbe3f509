"""Keys that had another name in an earlier release, so that an error can tell today's."""

RENAMED = {
    "data.shared_pictures": "data.image_leakage",
    "data.shared_captions": "data.caption_leakage",
    "pairs.random_per_pair": "pairs.random_negatives",
    "pairs.hard_per_pair": "pairs.hard_negatives",
    "pairs.train_hard_candidates": "pairs.train_hard_negatives",
    "model.stages": "model.feature_levels",
    "model.normalize_features": "model.feature_normalization",
    "model.caption_summary": "model.caption_pooling",
    "trainer.wrong_captions": "trainer.random_negatives",
    "trainer.hard_share": "trainer.hard_negative_share",
    "trainer.word_loss": "trainer.word_loss_weight",
    "trainer.contrastive_loss": "trainer.contrastive_loss_weight",
    "trainer.attribute_loss": "trainer.attribute_loss_weight",
    "trainer.calibration_models": "trainer.calibration_folds",
    "trainer.calibration_part": "trainer.calibration_fold_share",
    "trainer.watched_from": "trainer.early_stopping_from",
}
