from typing import Final

BUILD_PROFILE: Final[str]
