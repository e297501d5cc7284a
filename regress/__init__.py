"""Features → folds → models → out-of-fold predictions → an honest comparison."""
