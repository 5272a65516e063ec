"""Key services, which wrap and unwrap data keys."""
