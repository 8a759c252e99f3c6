variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Region of everything; the same as that of base."
  type        = string
}

variable "image" {
  description = "Image that runs, with its tag, such as europe-west1-docker.pkg.dev/PROJECT/kasparro/kasparro:0.1.0."
  type        = string
}

variable "migration_image" {
  description = "Image that the migration job runs, where it is to be newer than the rest. Empty: image."
  type        = string
  default     = ""
}

variable "config_version" {
  description = "Version of the secret kasparro-config, which is kasparro.yaml. A number, so that a change is one that can be taken back."
  type        = string
}

variable "database_password_version" {
  description = "Version of the secret kasparro-database-password. A new one is given to the database, too."
  type        = number
  default     = 1
}

variable "api_key_version" {
  description = "Version of the secret kasparro-api-key."
  type        = string
  default     = "1"
}

variable "source_secrets" {
  description = "The same as that of base: names of the values that kasparro.yaml takes by $${NAME}, each with the id of its secret."
  type        = map(string)
  default     = {}
}

variable "invokers" {
  description = "Who may reach the API. allUsers: everybody, and API_KEY decides. Otherwise such as user:ann@example.com, and Google asks first."
  type        = set(string)
  default     = ["allUsers"]
}

variable "public_read" {
  description = "Whether the API answers reads without API_KEY."
  type        = bool
  default     = false
}

variable "api_min" {
  description = "Instances of the API that always run. 0: the first request after a pause waits some seconds."
  type        = number
  default     = 1
}

variable "api_max" {
  description = "Instances of the API at most. Each takes up to 25 connections to the database."
  type        = number
  default     = 2
}

variable "workers" {
  description = "Workers. 0 where run_schedule alone runs the sources."
  type        = number
  default     = 1
}

variable "worker_cpu" {
  description = "Processors of a worker."
  type        = string
  default     = "1"
}

variable "worker_memory" {
  description = "Memory of a worker. Files that it unpacks are in memory, too."
  type        = string
  default     = "2Gi"
}

variable "worker_concurrency" {
  description = "Sources that one worker runs at the same time. Each takes up to five connections to the database, and the worker 12 more."
  type        = number
  default     = 4
}

variable "run_schedule" {
  description = "Line of cron at which Cloud Scheduler starts a job that runs all sources once. Empty: never; workers follow the schedules of kasparro.yaml."
  type        = string
  default     = ""
}

variable "run_time_zone" {
  description = "Time zone of run_schedule."
  type        = string
  default     = "Etc/UTC"
}

variable "log_level" {
  description = "Least severe message that is logged. The alert on failed runs needs error at least."
  type        = string
  default     = "info"
}

variable "database_version" {
  description = "Version of PostgreSQL, 15 or newer."
  type        = string
  default     = "POSTGRES_18"
}

variable "database_tier" {
  description = "Size of the database's machine. db-custom-1-3840 is one processor with 3.75 GiB, and takes 100 connections."
  type        = string
  default     = "db-custom-1-3840"
}

variable "database_disk" {
  description = "Disk of the database in GiB at first; it grows by itself."
  type        = number
  default     = 20
}

variable "database_regional" {
  description = "A standby in another zone, which takes over by itself. Doubles the price."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Whether database and services refuse to be deleted."
  type        = bool
  default     = true
}

variable "alert_email" {
  description = "Who is told of alerts. Empty: nobody, they are seen in the console."
  type        = string
  default     = ""
}
