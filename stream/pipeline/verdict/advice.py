"""Advice: what the person should do next, in words, for each reason a picture did not pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice: `code` for programs, `message` for the person, which asks for an action and blames nobody."""

    code: str
    message: str


#: The most a person can be asked to change at once.
MOST_ADVICE = 3

RETAKE = Advice("retake", "Please take a new photo with the camera, in even light, at arm's length.")

_HOLD_STILL = Advice("hold_still", "Hold the phone still and let the camera focus; wipe the lens.")
_OPEN_EYES = Advice("open_eyes", "Keep both eyes open and take off dark glasses.")
_FACE_CAMERA = Advice("face_camera", "Look straight into the camera, with your head upright.")
_COME_CLOSER = Advice("come_closer", "Hold the phone closer, so that your face fills about a fifth of the picture.")
_MOVE_BACK = Advice(
    "move_back", "Hold the phone further away, so that your whole face and some room around it is seen."
)
_WHOLE_FACE = Advice("whole_face", "Keep your whole face inside the picture.")
_EVEN_LIGHT = Advice("even_light", "Find even light from the front: no strong lamp or window behind you.")
_NO_SHADOW = Advice("no_shadow", "Turn towards the light, so that no half of your face is in shadow.")
_LESS_LIGHT = Advice("less_light", "Move out of direct sun or glare.")
_LIVE_CAMERA = Advice("live_camera", "Take the photo of yourself with the camera now, not of a print or a screen.")
_UNEDITED = Advice("unedited", "Send the photo just as the camera took it: no screenshot, filter or editing.")
_OWN_CAMERA = Advice(
    "own_camera", "Take the photo with the camera of this phone or computer, without other camera programs."
)
_OWN_APP = Advice(
    "own_app", "Take the photo in the app or page that asked for it: start the check there again, from the beginning."
)
_NEW_PHOTO = Advice("new_photo", "Take a new photo of yourself with the camera now, in place of a stored picture.")
_ALONE = Advice("alone", "Make sure that only you are in the picture.")
_OTHER_FILE = Advice("other_file", "Send the photo as a JPEG, PNG, WebP or BMP file.")
#: So many pixels pass the gate whatever the file's size (`RATIO_FREE_PIXELS`), and more add nothing to the analysis.
_SCALE_DOWN = Advice(
    "scale_down", "Scale the photo down to at most 2000 pixels on its longer side and send it as a JPEG."
)
_WHOLE_FILE = Advice("whole_file", "A part of the file is missing or damaged. Please send the whole photo again.")
_OTHER_COPY = Advice("other_copy", "The file is damaged. Please send another copy of the photo, or take a new one.")
_LARGER_PHOTO = Advice(
    "larger_photo", "The photo has too few pixels: send it as large as the camera took it, at least 480 pixels a side."
)
_OPAQUE = Advice(
    "opaque_photo", "This file can look different in other programs. Send the photo just as the camera took it."
)
_START_AGAIN = Advice(
    "start_again", "The photo did not arrive as it should. Start the check again; if this comes back, contact support."
)
_ANOTHER_PHOTO = Advice(
    "another_photo", "The photo could not be checked. Send it once more; if this comes back, take a new one."
)
_SEND_AGAIN = Advice("send_again", "This is not about your photo: please send it again in a moment.")
_NEW_CHECK = Advice("new_check", "This check is over. Go back to where you came from and start it again.")
_OWN_NETWORK = Advice(
    "same_connection", "Use the connection that you started the check with: switch off any VPN, then start again."
)
_FOLLOW = Advice("follow_prompts", "Do the check again and follow the prompts one after another, as they are shown.")
_NEW_CAPTURE = Advice("new_capture", "Do the whole check again now, with the camera: nothing that was recorded before.")
_NEXT_STEP = Advice(
    "next_step", "The light here is too strong for a single photo: go on and follow the prompts of the next step."
)
_AT_REST = Advice(
    "begin_at_rest", "Look straight into the camera with a relaxed face before you follow the first prompt."
)
_SAME_PERSON = Advice("same_person", "Do the check by yourself: only your own face may be in the picture all along.")
_SCREEN_LIGHT = Advice(
    "screen_light", "Turn up the brightness of your screen, come closer to it, and turn off strong lamps around you."
)
_WAIT = Advice("wait", "There were too many tries in a short time. Please wait a while before you try again.")
_CONTACT = Advice("contact_support", "This check can't be continued online. Please contact support.")
_SMALLER_FILE = Advice("smaller_file", "Please send the photo again, scaled down if it is very large.")

#: Reasons come from the signals, the framing rules and the error codes; a test holds this table against them.
BY_REASON: dict[str, Advice] = {
    "blurry": _HOLD_STILL,
    "eyes_closed": _OPEN_EYES,
    "head_turned": _FACE_CAMERA,
    "rotation_over_limit": _FACE_CAMERA,
    "asymmetric_face": _FACE_CAMERA,
    "face_too_small": _COME_CLOSER,
    "face_too_large": _MOVE_BACK,
    "face_cut_off": _WHOLE_FACE,
    "too_dark": _EVEN_LIGHT,
    "too_bright": _LESS_LIGHT,
    "uneven_light": _NO_SHADOW,
    "flat_texture": _LIVE_CAMERA,
    "periodic_spectrum": _LIVE_CAMERA,
    "attack_suspected": _LIVE_CAMERA,
    "held_medium": _LIVE_CAMERA,
    "pad_networks_absent": _ANOTHER_PHOTO,
    "group_missing": _ANOTHER_PHOTO,
    "group_contradictory": _ANOTHER_PHOTO,
    "frames_missing": _START_AGAIN,
    "frames_contradict": _START_AGAIN,
    "frame_sessions_differ": _START_AGAIN,
    "parts_erased": _START_AGAIN,
    "spoof_software": _UNEDITED,
    "virtual_camera": _OWN_CAMERA,
    "face_swap_software": _NEW_PHOTO,
    "generator_software": _NEW_PHOTO,
    "generator_settings": _NEW_PHOTO,
    "declared_generated": _NEW_PHOTO,
    "declared_screen_capture": _UNEDITED,
    "capture_software": _UNEDITED,
    "editor_software": _UNEDITED,
    "declared_edited": _UNEDITED,
    "editor_beside_camera": _UNEDITED,
    "social_network_copy": _NEW_PHOTO,
    "taken_in_future": _NEW_PHOTO,
    "taken_at_other_time": _NEW_PHOTO,
    "exif_size_differs": _UNEDITED,
    "thumbnail_differs": _UNEDITED,
    "generator_framing": _NEW_PHOTO,
    "other_compression": _UNEDITED,
    "screen_size": _UNEDITED,
    "generator_size": _NEW_PHOTO,
    "no_camera_metadata": _NEW_PHOTO,
    "injection_unchecked": _ANOTHER_PHOTO,
    "capture_forged": _OWN_APP,
    "capture_not_attested": _OWN_APP,
    "captured_by_web": Advice("phone_app", "If there is an app for this check, take the photo there."),
    "bystander": _ALONE,
    "multiple_faces": _ALONE,
    "no_face_detected": Advice("show_face", "Show your whole face to the camera, in good light, at arm's length."),
    "image_incomplete": _WHOLE_FILE,
    "image_damaged": _OTHER_COPY,
    "image_too_small": _LARGER_PHOTO,
    "image_transparent": _OPAQUE,
    "unsupported_format": _OTHER_FILE,
    "image_too_large": _SCALE_DOWN,
    "invalid_request": _START_AGAIN,
    "decryption_failed": _START_AGAIN,
    "duplicate_mismatch": _START_AGAIN,
    "session_invalid": _START_AGAIN,
    "session_token_missing": _START_AGAIN,
    "session_token_malformed": _START_AGAIN,
    "session_token_forged": _START_AGAIN,
    "session_token_algorithm": _START_AGAIN,
    "session_token_unknown_key": _START_AGAIN,
    "session_token_expired": _NEW_CHECK,
    "session_token_not_yet_valid": _SEND_AGAIN,
    "session_token_other_session": _START_AGAIN,
    "session_token_other_correlation_id": _START_AGAIN,
    "session_token_other_tenant": _START_AGAIN,
    "session_token_other_installation": _START_AGAIN,
    "session_unknown": _NEW_CHECK,
    "session_attempts_spent": _NEW_CHECK,
    "session_ended": _NEW_CHECK,
    "session_cancelled": _NEW_CHECK,
    "frames_of_another_session": _NEW_CAPTURE,
    "frames_not_in_time_order": _NEW_CAPTURE,
    "frozen_frames": _NEW_CAPTURE,
    "repeated_frames": _NEW_CAPTURE,
    "different_face_between_frames": _SAME_PERSON,
    "wrong_challenge_order": _FOLLOW,
    "challenge_missing": _FOLLOW,
    "flat_surface": _LIVE_CAMERA,
    "background_moves_with_face": _LIVE_CAMERA,
    "light_not_followed": _SCREEN_LIGHT,
    "light_too_late": _SCREEN_LIGHT,
    "light_pattern_flat": _LIVE_CAMERA,
    "ambient_light_too_strong": _LESS_LIGHT,
    "no_neutral_frame": _AT_REST,
    "frame_without_face": _WHOLE_FACE,
    "too_few_measures": _WHOLE_FACE,
    "session_wants_frames": _START_AGAIN,
    "session_wants_one_frame": _START_AGAIN,
    "session_wants_one_event": _START_AGAIN,
    "active_step": _NEXT_STEP,
    "session_address_unexpected": _OWN_NETWORK,
    "reference_missing": _START_AGAIN,
    "reference_other_than_session": _START_AGAIN,
    "environment_not_supported": _LESS_LIGHT,
    "subject_paused": _WAIT,
    "subject_blocked": _CONTACT,
    "detector_timeout": _SMALLER_FILE,
    "inference_error": _ANOTHER_PHOTO,
    "server_error": _SEND_AGAIN,
}


def advice_for(reasons: Iterable[str]) -> tuple[Advice, ...]:
    """Advice for the strongest reasons first, each once; a plain retake when none of them has its own."""
    found = dict.fromkeys(BY_REASON[reason] for reason in reasons if reason in BY_REASON)
    return tuple(found)[:MOST_ADVICE] or (RETAKE,)
