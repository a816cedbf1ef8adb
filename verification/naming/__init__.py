"""From a wrong answer to the name of the mistake."""
