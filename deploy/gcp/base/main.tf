# What must be there before anything runs: services, the registry of images, secrets without their values, accounts.
# docs/deploy-gcp.md says how it is used.

terraform {
  required_version = ">= 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
  backend "gcs" {
    prefix = "kasparro/base"
  }
}

variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Region of everything, such as europe-west1."
  type        = string
}

variable "source_secrets" {
  description = "Names of the values that kasparro.yaml takes by $${NAME}, each with the id of the secret that is to hold it."
  type        = map(string)
  default     = {}
}

variable "keep_images" {
  description = "How many images are kept. Older ones are deleted."
  type        = number
  default     = 20
}

provider "google" {
  project = var.project
  region  = var.region
}

locals {
  services = [
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "sqladmin.googleapis.com",
  ]
  # The API has no kasparro.yaml, and none of the sources' secrets; workers have no API_KEY.
  read_by_api    = ["kasparro-api-key", "kasparro-database-password"]
  read_by_worker = concat(["kasparro-config", "kasparro-database-password"], values(var.source_secrets))
}

resource "google_project_service" "used" {
  for_each           = toset(local.services)
  service            = each.value
  disable_on_destroy = false
}

resource "google_artifact_registry_repository" "images" {
  repository_id          = "kasparro"
  location               = var.region
  format                 = "DOCKER"
  description            = "Images of Kasparro"
  cleanup_policy_dry_run = false

  docker_config {
    # A tag names one image for ever, so a rollback gets what it asks for.
    immutable_tags = true
  }

  cleanup_policies {
    id     = "the-newest-stay"
    action = "KEEP"
    most_recent_versions {
      keep_count = var.keep_images
    }
  }

  cleanup_policies {
    id     = "the-others-go"
    action = "DELETE"
    condition {
      older_than = "30d"
    }
  }

  depends_on = [google_project_service.used]
}

# Values are added with gcloud, so that they are in no file of Terraform.
resource "google_secret_manager_secret" "held" {
  for_each  = toset(concat(local.read_by_api, local.read_by_worker))
  secret_id = each.value
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  depends_on = [google_project_service.used]
}

resource "google_service_account" "api" {
  account_id   = "kasparro-api"
  display_name = "Kasparro's API, and its migration"
  depends_on   = [google_project_service.used]
}

resource "google_service_account" "worker" {
  account_id   = "kasparro-worker"
  display_name = "Kasparro's workers and runs"
  depends_on   = [google_project_service.used]
}

resource "google_service_account" "scheduler" {
  account_id   = "kasparro-scheduler"
  display_name = "Starts Kasparro's runs"
  depends_on   = [google_project_service.used]
}

resource "google_secret_manager_secret_iam_member" "api" {
  for_each  = toset(local.read_by_api)
  secret_id = google_secret_manager_secret.held[each.value].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.api.member
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each  = toset(local.read_by_worker)
  secret_id = google_secret_manager_secret.held[each.value].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

resource "google_project_iam_member" "api_sql" {
  project = var.project
  role    = "roles/cloudsql.client"
  member  = google_service_account.api.member
}

resource "google_project_iam_member" "worker_sql" {
  project = var.project
  role    = "roles/cloudsql.client"
  member  = google_service_account.worker.member
}

output "repository" {
  description = "What images are tagged with and pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
