# Kasparro on Cloud Run: the API as a service, workers as a worker pool, migration and single runs as jobs.
# docs/deploy-gcp.md says how it is used. base must be there.

terraform {
  required_version = ">= 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
  backend "gcs" {
    prefix = "kasparro/kasparro"
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

locals {
  api_account       = "kasparro-api@${var.project}.iam.gserviceaccount.com"
  worker_account    = "kasparro-worker@${var.project}.iam.gserviceaccount.com"
  scheduler_account = "kasparro-scheduler@${var.project}.iam.gserviceaccount.com"

  # libpq goes through the socket that Cloud Run makes, encrypted and with the rights of the account; the password is PGPASSWORD's.
  settings = {
    DATABASE_URL      = "postgresql://kasparro@/kasparro?host=/cloudsql/${google_sql_database_instance.kasparro.connection_name}"
    ENVIRONMENT       = "production"
    LOG_LEVEL         = var.log_level
    KASPARRO_INSTANCE = var.project
  }
  api_settings = merge(local.settings, {
    KASPARRO_PUBLIC_READ = tostring(var.public_read)
  })
  worker_settings = merge(local.settings, {
    KASPARRO_CONFIG      = "/etc/kasparro/kasparro.yaml"
    KASPARRO_CONCURRENCY = tostring(var.worker_concurrency)
  })
}

# The API and the pages -----------------------------------------------------------------------------------------------

resource "google_cloud_run_v2_service" "api" {
  name                = "kasparro-api"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = var.deletion_protection

  template {
    service_account                  = local.api_account
    timeout                          = "60s"
    max_instance_request_concurrency = 40

    scaling {
      min_instance_count = var.api_min
      max_instance_count = var.api_max
    }

    containers {
      image   = var.image
      command = ["kasparro"]
      args    = ["serve", "--host", "0.0.0.0", "--port", "8000"]

      ports {
        container_port = 8000
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "512Mi"
        }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 30
        http_get {
          path = "/readyz"
          port = 8000
        }
      }

      # Not /readyz: a database that is away is no reason to start the API anew.
      liveness_probe {
        period_seconds    = 15
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/livez"
          port = 8000
        }
      }

      dynamic "env" {
        for_each = local.api_settings
        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "PGPASSWORD"
        value_source {
          secret_key_ref {
            secret  = "kasparro-database-password"
            version = tostring(var.database_password_version)
          }
        }
      }

      env {
        name = "API_KEY"
        value_source {
          secret_key_ref {
            secret  = "kasparro-api-key"
            version = var.api_key_version
          }
        }
      }

      volume_mounts {
        name       = "cloudsql"
        mount_path = "/cloudsql"
      }
    }

    volumes {
      name = "cloudsql"
      cloud_sql_instance {
        instances = [google_sql_database_instance.kasparro.connection_name]
      }
    }
  }

  depends_on = [google_sql_database.kasparro, google_sql_user.kasparro]
}

resource "google_cloud_run_v2_service_iam_member" "invokers" {
  for_each = var.invokers
  name     = google_cloud_run_v2_service.api.name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value
}

# Workers -------------------------------------------------------------------------------------------------------------

resource "google_cloud_run_v2_worker_pool" "worker" {
  name                = "kasparro-worker"
  location            = var.region
  launch_stage        = "BETA"
  deletion_protection = var.deletion_protection

  scaling {
    manual_instance_count = var.workers
  }

  template {
    service_account = local.worker_account

    containers {
      image   = var.image
      command = ["kasparro"]
      args    = ["worker"]

      resources {
        limits = {
          cpu    = var.worker_cpu
          memory = var.worker_memory
        }
      }

      dynamic "env" {
        for_each = local.worker_settings
        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "PGPASSWORD"
        value_source {
          secret_key_ref {
            secret  = "kasparro-database-password"
            version = tostring(var.database_password_version)
          }
        }
      }

      dynamic "env" {
        for_each = var.source_secrets
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }

      volume_mounts {
        name       = "cloudsql"
        mount_path = "/cloudsql"
      }

      volume_mounts {
        name       = "config"
        mount_path = "/etc/kasparro"
      }
    }

    volumes {
      name = "cloudsql"
      cloud_sql_instance {
        instances = [google_sql_database_instance.kasparro.connection_name]
      }
    }

    volumes {
      name = "config"
      secret {
        secret = "kasparro-config"
        items {
          version = var.config_version
          path    = "kasparro.yaml"
        }
      }
    }
  }

  depends_on = [google_sql_database.kasparro, google_sql_user.kasparro]
}

# Jobs ----------------------------------------------------------------------------------------------------------------

resource "google_cloud_run_v2_job" "migrate" {
  name                = "kasparro-migrate"
  location            = var.region
  deletion_protection = var.deletion_protection

  template {
    template {
      service_account = local.api_account
      timeout         = "3600s"
      max_retries     = 0

      containers {
        image   = var.migration_image == "" ? var.image : var.migration_image
        command = ["kasparro"]
        args    = ["migrate"]

        resources {
          limits = {
            cpu    = "1"
            memory = "512Mi"
          }
        }

        dynamic "env" {
          for_each = local.settings
          content {
            name  = env.key
            value = env.value
          }
        }

        env {
          name = "PGPASSWORD"
          value_source {
            secret_key_ref {
              secret  = "kasparro-database-password"
              version = tostring(var.database_password_version)
            }
          }
        }

        volume_mounts {
          name       = "cloudsql"
          mount_path = "/cloudsql"
        }
      }

      volumes {
        name = "cloudsql"
        cloud_sql_instance {
          instances = [google_sql_database_instance.kasparro.connection_name]
        }
      }
    }
  }

  depends_on = [google_sql_database.kasparro, google_sql_user.kasparro]
}

resource "google_cloud_run_v2_job" "run" {
  name                = "kasparro-run"
  location            = var.region
  deletion_protection = var.deletion_protection

  template {
    template {
      service_account = local.worker_account
      timeout         = "86400s"
      # The next run goes on where this one ended; a second try at once would meet the same provider.
      max_retries = 0

      containers {
        image   = var.image
        command = ["kasparro"]
        args    = ["run"]

        resources {
          limits = {
            cpu    = var.worker_cpu
            memory = var.worker_memory
          }
        }

        dynamic "env" {
          for_each = local.worker_settings
          content {
            name  = env.key
            value = env.value
          }
        }

        env {
          name = "PGPASSWORD"
          value_source {
            secret_key_ref {
              secret  = "kasparro-database-password"
              version = tostring(var.database_password_version)
            }
          }
        }

        dynamic "env" {
          for_each = var.source_secrets
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }

        volume_mounts {
          name       = "cloudsql"
          mount_path = "/cloudsql"
        }

        volume_mounts {
          name       = "config"
          mount_path = "/etc/kasparro"
        }
      }

      volumes {
        name = "cloudsql"
        cloud_sql_instance {
          instances = [google_sql_database_instance.kasparro.connection_name]
        }
      }

      volumes {
        name = "config"
        secret {
          secret = "kasparro-config"
          items {
            version = var.config_version
            path    = "kasparro.yaml"
          }
        }
      }
    }
  }

  depends_on = [google_sql_database.kasparro, google_sql_user.kasparro]
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  name     = google_cloud_run_v2_job.run.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "serviceAccount:${local.scheduler_account}"
}

resource "google_cloud_scheduler_job" "run" {
  count            = var.run_schedule == "" ? 0 : 1
  name             = "kasparro-run"
  region           = var.region
  description      = "Run all sources of kasparro.yaml once"
  schedule         = var.run_schedule
  time_zone        = var.run_time_zone
  attempt_deadline = "60s"

  retry_config {
    retry_count          = 3
    min_backoff_duration = "30s"
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.run.id}:run"
    oauth_token {
      service_account_email = local.scheduler_account
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.scheduler]
}

output "address" {
  description = "Address of the API."
  value       = google_cloud_run_v2_service.api.uri
}

output "database" {
  description = "Name of the database's instance, as the Cloud SQL proxy takes it."
  value       = google_sql_database_instance.kasparro.connection_name
}
