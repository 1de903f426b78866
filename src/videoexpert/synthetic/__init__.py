"""The synthetic world: scripts (world), pixels (render), sentences (language), files (write)."""
