"""Requests that another master serves (spec/04 §8): who decides, who asks, who keeps what came back."""
