"""Sites: invitations, enrolment, presence."""
