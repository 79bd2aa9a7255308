${flat?flat_messages:found_without_flat}
