"""What processes say to each other: messages, frames, and the connections that carry them."""
