resource "google_monitoring_notification_channel" "email" {
  count        = var.alert_email == "" ? 0 : 1
  display_name = "Kasparro"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }
}

locals {
  channels = google_monitoring_notification_channel.email[*].id
}

# What the log says in production is JSON, one object a line: src/kasparro/observe/run_log.py.
resource "google_logging_metric" "failed_runs" {
  name        = "kasparro-failed-runs"
  description = "Runs of sources that failed, or left something out"
  filter      = "resource.type=(\"cloud_run_worker_pool\" OR \"cloud_run_job\") AND jsonPayload.event=\"run finished\" AND jsonPayload.status=(\"failed\" OR \"partial\")"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_monitoring_alert_policy" "failed_runs" {
  display_name          = "Kasparro: a run of a source failed"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "failed runs"
    condition_threshold {
      filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.failed_runs.name}\" AND resource.type=one_of(\"cloud_run_worker_pool\", \"cloud_run_job\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_SUM"
      }
    }
  }

  documentation {
    content = "docs/operating.md of Kasparro says what each error means. kasparro runs list --status failed shows them."
  }
}

resource "google_monitoring_alert_policy" "api_errors" {
  display_name          = "Kasparro: the API answers with errors"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "5xx"
    condition_threshold {
      filter          = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND resource.label.service_name=\"${google_cloud_run_v2_service.api.name}\" AND metric.label.response_code_class=\"5xx\""
      comparison      = "COMPARISON_GT"
      threshold_value = 5
      duration        = "0s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
}

resource "google_monitoring_alert_policy" "database" {
  display_name          = "Kasparro: the database is busy or full"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "disk"
    condition_threshold {
      filter          = "metric.type=\"cloudsql.googleapis.com/database/disk/utilization\" AND resource.type=\"cloudsql_database\" AND resource.label.database_id=\"${var.project}:${google_sql_database_instance.kasparro.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0.9
      duration        = "300s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  conditions {
    display_name = "processor"
    condition_threshold {
      filter          = "metric.type=\"cloudsql.googleapis.com/database/cpu/utilization\" AND resource.type=\"cloudsql_database\" AND resource.label.database_id=\"${var.project}:${google_sql_database_instance.kasparro.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0.85
      duration        = "900s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MEAN"
      }
    }
  }
}

resource "google_monitoring_alert_policy" "workers_missing" {
  count                 = var.workers == 0 ? 0 : 1
  display_name          = "Kasparro: no worker runs"
  combiner              = "OR"
  notification_channels = local.channels

  conditions {
    display_name = "no worker"
    condition_absent {
      filter   = "metric.type=\"run.googleapis.com/container/cpu/utilizations\" AND resource.type=\"cloud_run_worker_pool\" AND resource.label.worker_pool_name=\"${google_cloud_run_v2_worker_pool.worker.name}\""
      duration = "600s"
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_COUNT"
      }
    }
  }
}
