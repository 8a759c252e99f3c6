resource "google_sql_database_instance" "kasparro" {
  name                = "kasparro"
  region              = var.region
  database_version    = var.database_version
  deletion_protection = var.deletion_protection

  settings {
    tier                        = var.database_tier
    edition                     = "ENTERPRISE"
    availability_type           = var.database_regional ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.database_disk
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection
    retain_backups_on_delete    = true
    # It has an address and lets nobody in by it: no network is authorised, and only Google's connectors are answered.
    connector_enforcement = "REQUIRED"

    ip_configuration {
      ipv4_enabled = true
      ssl_mode     = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 7
      }
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }

    database_flags {
      name  = "log_min_duration_statement"
      value = "5000"
    }
  }

  lifecycle {
    # It grows by itself, and must not be made small again.
    ignore_changes = [settings[0].disk_size]
  }
}

resource "google_sql_database" "kasparro" {
  name     = "kasparro"
  instance = google_sql_database_instance.kasparro.name
}

# Read while Terraform runs, and kept in none of its files.
ephemeral "google_secret_manager_secret_version" "database_password" {
  secret  = "kasparro-database-password"
  version = tostring(var.database_password_version)
}

resource "google_sql_user" "kasparro" {
  name                = "kasparro"
  instance            = google_sql_database_instance.kasparro.name
  password_wo         = ephemeral.google_secret_manager_secret_version.database_password.secret_data
  password_wo_version = var.database_password_version
  # A role that owns tables cannot be dropped; it goes with the instance.
  deletion_policy = "ABANDON"
}
