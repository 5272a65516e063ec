"""Key services: who wraps and unwraps data keys."""
