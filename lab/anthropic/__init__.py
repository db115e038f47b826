"""The lab's Messages API: it answers as Claude's does, and what it says costs nothing."""
