//! What can be written, straight from the specifications.

use stompbox::frame::{Command, Version};

/// Whether a header can be written in a frame with this command.
pub(crate) fn is_representable(
    version: Version,
    command: Command,
    name: &str,
    value: &str,
) -> bool {
    let escaped = version > Version::V1_0 && command.is_escaped();
    let nothing_ends_early = !format!("{name}{value}").contains('\0')
        && (escaped || !format!("{name}{value}").contains('\n'))
        && (escaped || !name.contains(':'));
    let cr_stays = (escaped && version == Version::V1_2) || !value.ends_with('\r');
    !name.is_empty() && nothing_ends_early && cr_stays
}
