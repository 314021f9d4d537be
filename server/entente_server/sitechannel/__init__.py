"""The site channel at the coordinator: enrolment and attendance of sites over gRPC and TLS."""
