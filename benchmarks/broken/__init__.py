"""What the fuzzing of scans stands on."""
