"""Stage 3: tokens -> states. Experts, the <LOC> word, prompts, and the sequence they go in."""
