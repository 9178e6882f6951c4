from rewards.refusal import Reason, Refusal

__all__ = ["Reason", "Refusal"]
